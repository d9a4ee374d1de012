"""XTTS v2: speaks as anyone heard for a few seconds, in seventeen languages."""
