"""Deny stores."""
