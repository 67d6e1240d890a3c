"""Auth schemes: `bai` for signed virtual keys, `byo` for keys that clients bring along."""
