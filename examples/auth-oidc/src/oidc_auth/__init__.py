"""JWTs of an OpenID provider as managed keys."""
