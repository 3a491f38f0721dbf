"""The figures of docs/figures.md, one file each; scripts/figures runs them."""
