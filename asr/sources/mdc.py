"""A Common Voice release from Mozilla Data Collective, by its own client."""

import os
import sys
from collections.abc import Iterator

from asr.corpus import Clip
from asr.sources.archive import CORPORA, read_release

SITE = "https://mozilladatacollective.com"


def clips(dataset: str, locale: str, validated: bool) -> Iterator[Clip]:
    """Download a release to corpora/, unless it is there, and read its clips.

    Parameters
    ----------
    dataset: id or slug of the dataset
    locale: the release's folder, such as "dv"
    validated: whether to read the rest of validated.tsv too

    Raises
    ------
    PermissionError: no key in MDC_API_KEY, a wrong one, or the dataset's terms are not accepted.
    FileNotFoundError: no such dataset.
    ConnectionError: unreachable, too many requests, or broken off (the next call goes on from there).
    """
    page = f"{SITE}/datasets/{dataset}"
    if not os.environ.get("MDC_API_KEY"):
        raise PermissionError(
            "download.source is mdc, but the environment has no MDC_API_KEY:\n"
            f"  1. sign in at {SITE}, accept the terms of {page}\n"
            f"  2. make a key (your profile, API) and `export MDC_API_KEY=…`\n"
            "  Without one: download.source=archive, hub or folder, or `make sample` for a synthetic corpus."
        )
    # Imported here: the client reads a .env file when it is imported, and the key comes from the
    # environment only.
    import datacollective
    import requests
    from datacollective.errors import AuthenticationError, DownloadError, RateLimitError

    try:
        archive = datacollective.download_dataset(
            dataset, download_directory=str(CORPORA), show_progress=sys.stderr.isatty(), extract=False
        )
    except AuthenticationError as error:
        raise PermissionError(
            f"{SITE} does not accept the key in MDC_API_KEY: make a new one there (your profile, API)"
        ) from error
    except PermissionError as error:
        raise PermissionError(
            f"{page}: access denied. Accept the dataset's terms on that page, with the account that made"
            f" the key in MDC_API_KEY, and run again.\n  {error}"
        ) from error
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{page}: no such dataset, or removed. Look up its id on {SITE}/datasets and set"
            " download.mdc.dataset"
        ) from error
    except RateLimitError as error:
        raise ConnectionError(f"{SITE}: too many requests; wait and run again") from error
    except DownloadError as error:
        raise ConnectionError(
            f"{page}: the transfer broke off after {error.total_downloaded_bytes} of"
            f" {error.total_archive_bytes}; run again to go on from there"
        ) from error
    except requests.RequestException as error:
        raise ConnectionError(
            f"{SITE}: {type(error).__name__}. Is the network there? Without one, use"
            " download.source=archive or folder, or `make sample`"
        ) from error
    return read_release(archive, locale, validated)
