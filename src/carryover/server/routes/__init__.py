"""One file per noun of the contract; a route names its right, decodes, calls one verb and encodes."""
