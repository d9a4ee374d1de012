"""`python -m alltalk`: the command line."""

from alltalk.cli import main

if __name__ == "__main__":
    main()
