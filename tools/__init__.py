"""Build-time scripts: the environment, the staged artefacts, the checks. Nothing here ships."""
