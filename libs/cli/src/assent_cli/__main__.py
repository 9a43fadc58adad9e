"""`python -m assent_cli` is `assent`."""

from assent_cli.main import main

if __name__ == "__main__":
    main(prog_name="assent")
