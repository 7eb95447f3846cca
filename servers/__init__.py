"""Real servers on loopback, from the packages that the development set-up installs: for tests and for trying out."""
