"""Which engines are on this machine: found, asked for their version, held against it. Nothing is started or installed."""
