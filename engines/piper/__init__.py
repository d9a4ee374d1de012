"""Piper: neural voices of about thirty languages, several times faster than speech on a CPU."""
