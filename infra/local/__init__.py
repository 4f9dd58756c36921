"""Local: runs the whole pipeline on this machine."""
