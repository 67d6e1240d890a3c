"""Our own providers: one file each, and `echo`, the embedded upstream."""
