"""Doctor: checks a local stack or a deployed pipeline and says how to repair what is wrong."""
