"""Every code that a finding of this project can have, with its meaning, cause and remedy."""
