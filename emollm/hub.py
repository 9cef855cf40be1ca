"""Whether the hub has a model of a name, asked once: transformers asks for half a minute."""

from pathlib import Path
from typing import Final, NamedTuple

from emollm.model_folder import ModelFolderError
from emollm.models import MODELS
from runtime.spelling import did_you_mean

_CONFIG: Final = "config.json"


class OnHub(NamedTuple):
    """Where a model of the hub is to be loaded from."""

    commit: str | None
    """Which version of it that is; None where the hub didn't say."""
    cached: bool
    """From the hub's cache folder, since there is no hub to be reached."""


def find_on_hub(name: str, revision: str | None = None) -> OnHub:
    """See whether the hub has this model, else the hub's cache folder.

    One request, which waits as long as the hub's own HF_HUB_ETAG_TIMEOUT says (10 s). What the hub
    answers in a bad moment (429, 500) passes: the loading asks again.

    Raises:
        ModelFolderError: the hub has no such model, or there is neither a hub nor a copy of it.
        ImportError: huggingface_hub isn't installed.
    """
    import huggingface_hub as hub  # noqa: PLC0415 - of an extra, and only for a name on the hub
    from huggingface_hub import constants, errors  # noqa: PLC0415

    hint = did_you_mean(name, (model.hub_id for model in MODELS if model.hub_id))
    where = f"{name} is no folder here, and "
    of = f" revision {revision}" if revision else ""
    try:
        url = hub.hf_hub_url(name, _CONFIG, revision=revision)
        found = hub.get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except errors.HFValidationError as error:
        raise ModelFolderError(f"{where}can't be a name on the hub{hint}") from error
    except errors.GatedRepoError as error:
        raise ModelFolderError(
            f"{name} is given to those only who ask for it at {constants.ENDPOINT}/{name}; then log"
            " in (hf auth login)"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelFolderError(
            f"{where}the hub ({constants.ENDPOINT}) has no model of that name, or it is private (hf"
            f" auth login){hint}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelFolderError(f"{name} has no{of} on the hub") from error
    except errors.EntryNotFoundError as error:
        raise ModelFolderError(
            f"{name} on the hub is nothing that transformers loads: it has no {_CONFIG}"
        ) from error
    except errors.HfHubHTTPError:
        return OnHub(None, cached=False)
    except Exception as error:  # of the HTTP library below, which changed between versions
        kept = hub.try_to_load_from_cache(name, _CONFIG, revision=revision)
        if isinstance(kept, str):
            return OnHub(Path(kept).parent.name, cached=True)
        words = " ".join(str(error).split()) or type(error).__name__
        raise ModelFolderError(
            f"{where}the hub ({constants.ENDPOINT}), which may have it, can't be reached ({words});"
            f" its cache folder ({constants.HF_HUB_CACHE}) has no{of or ' such model'}{hint}"
        ) from error
    return OnHub(found.commit_hash, cached=False)
