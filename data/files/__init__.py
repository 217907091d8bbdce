"""Tables, TOML and text as they are read, with every issue named."""
