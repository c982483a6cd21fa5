"""What the README's figures of speed come from. Ratios are taken in one run, turn about, on one machine."""
