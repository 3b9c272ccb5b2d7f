"""The manifest: what every table is for, how it joins, which files hold it."""
