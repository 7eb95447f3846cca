"""What carryover is built from: the locked packages, their licences, their known holes, and the bill of materials."""
