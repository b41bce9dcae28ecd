"""`python -m tflm <command>`: the console script without its name."""

from tflm.command_line.main import main

if __name__ == "__main__":
    main()
