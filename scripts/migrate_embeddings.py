"""Change a collection's encoder from start to end, for schedulers: build, verify, and, if asked, switch.

    python scripts/migrate_embeddings.py vit-b-32-laion2b --collection photos --switch

Stopped at any point, run it again: it goes on from there. Exit code 0: ready (or switched); 1: not passed, with the
problems on stdout as JSON. Nothing is dropped: `seemory reembed drop` does that when nobody wants to go back.
"""

from __future__ import annotations

import argparse
import json
import sys

import seemory


def main() -> int:
    """Run it; 0 if the new generation may answer, or does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the encoder to change to")
    parser.add_argument("--url", help="the database; by default the embedded one")
    parser.add_argument("--home", help="the data folder")
    parser.add_argument("--collection", help="the named set of items")
    parser.add_argument("--switch", action="store_true", help="let it answer as soon as it is ready")
    options = parser.parse_args()
    with seemory.open(options.url, home=options.home, collection=options.collection) as memory:
        reembedding = memory.reembedding()
        report = reembedding.start(options.model)
        document = report.as_json()
        if options.switch and report.generation.state == "ready":
            document["live"] = reembedding.switch().live.table
    print(json.dumps(document, indent=2, default=str))
    return 0 if report.verification.passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except seemory.SeemoryError as error:
        print(f"migrate_embeddings: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
