"""Doctor: checks a local stack or a deployed pipeline and names the command that fixes each problem."""
