"""Tools that work on the Beyond platform, through its command `beyond`."""
