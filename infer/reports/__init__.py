"""Files and figures that a command leaves in a folder."""
