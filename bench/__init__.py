"""What Drover promises about its speed, measured on this machine: `make bench` or `python -m bench ROW ...`."""
