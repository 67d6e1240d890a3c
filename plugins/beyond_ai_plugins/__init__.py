"""Our own plugins for the gateway: auth schemes, scanners, usage sinks, transports, commands."""
