"""All settings, in one nested object: built once at the top (`memory`, `cli`) and handed down as plain values.

Read, in falling order of precedence, from arguments, environment variables (`SEEMORY_HOME`, `SEEMORY_INDEX__WORKERS` …)
and `config.toml` in the data folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from seemory.errors import UsageError

AUTO = "auto"
"""The model that means: the catalogue's default encoder if it can be had, otherwise the bundled one."""


class IndexSettings(BaseModel):
    """How much work indexing takes on at once."""

    workers: int | None = Field(
        default=None, ge=1, le=256, description="Decode threads; by default one a core, at most 8."
    )
    batch_size: int = Field(
        default=32, ge=1, le=1024, description="Pictures a forward pass; a kill can lose two such batches."
    )
    ray: str | None = Field(
        default=None, min_length=1, description="Ray cluster that decodes and embeds: host:port, auto or local."
    )
    ray_cpus: int | None = Field(
        default=None, ge=1, le=256, description="Cores of one Ray worker; by default up to four of the smallest node."
    )


class MediaSettings(BaseModel):
    """What is accepted from a file."""

    max_pixels: int = Field(
        default=200_000_000, ge=1, description="Larger pictures are refused before they are unpacked."
    )
    thumbnail_size: int = Field(
        default=256, ge=16, le=1024, description="Longest side of the stored small picture, in pixels."
    )


class VideoSettings(BaseModel):
    """How films are read."""

    detector: Literal["adaptive", "content", "threshold", "best"] = Field(
        default="best", description="What finds the scenes; `best` runs all three and keeps the one with most."
    )
    shortest_scene_s: float = Field(default=1.0, ge=0, le=3600, description="The shortest scene, in seconds.")
    max_pixels: int = Field(default=36_000_000, ge=1, description="Films of larger frames are refused.")
    max_hours: float = Field(default=12.0, gt=0, le=1000, description="Longer films are refused.")
    transcribe: str | None = Field(
        default=None,
        min_length=1,
        description="Whisper model that listens to films without subtitles.",
    )


class ModelSettings(BaseModel):
    """Where encoders come from and how they run."""

    offline: bool = Field(default=False, description="Never ask a hub.")
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="Threads of one forward pass; by default all cores."
    )
    auto_wait_s: float = Field(
        default=2.0, ge=0, le=60, description="How long `model = auto` waits for the hub to answer."
    )
    precision: Literal["auto", "fp32", "bf16", "int8"] = Field(
        default="auto", description="Of new collections: `auto` is what `models check` found fastest; else fp32."
    )
    runtime: Literal["auto", "onnxruntime", "openvino", "cuda"] = Field(
        default="auto", description="What runs an encoder, where its precision leaves a choice."
    )
    fidelity: float = Field(
        default=0.99, ge=0, le=1, description="5th percentile of cosines to fp32 that `precision = auto` keeps to."
    )
    queries: int = Field(
        default=4096, ge=0, le=1_000_000, description="Queries whose vectors are remembered while a process lives."
    )
    text: str = Field(
        default="seemory-mini", description="Encoder of the first sentence vectors: a catalogue name or a folder."
    )


class SearchSettings(BaseModel):
    """How what the channels find becomes one answer, where neither a request nor the owner says."""

    fusion: Literal["rrf", "minmax"] = Field(
        default="rrf", description="By reciprocal rank, or by the mean of scores brought to 0..1."
    )
    visual: float = Field(default=1.0, ge=0, allow_inf_nan=False, description="Weight of what pictures show.")
    text: float = Field(
        default=0.5, ge=0, allow_inf_nan=False, description="Weight of the meaning of what was said of them."
    )
    words: float = Field(
        default=0.5, ge=0, allow_inf_nan=False, description="Weight of the words themselves, file names included."
    )
    language: str = Field(
        default="english", min_length=1, max_length=63, description="Text search configuration of new words."
    )
    resident_mb: int = Field(
        default=256,
        ge=0,
        le=1_000_000,
        description="Megabytes that copies of vectors may take in a program that searches again and again; 0: none.",
    )


class MemorySettings(BaseModel):
    """What counts as said before (`seemory remember`)."""

    same: float = Field(default=0.95, ge=0, le=1, description="Least cosine of two texts that are one memory.")
    alike: float = Field(default=0.88, ge=0, le=1, description="Least cosine of two memories that are linked.")


class CriticSettings(BaseModel):
    """Who criticises photographs in words: a server, a model in this process, or nobody."""

    url: str | None = Field(default=None, min_length=1, description="An OpenAI-compatible server, up to /v1.")
    api_key: SecretStr | None = Field(default=None, description="What the server asks for as a bearer token.")
    local: bool = Field(default=False, description="Run the model in this process; needs the extra `critic`.")
    model: str = Field(
        default="Qwen/Qwen3-VL-4B-Instruct", min_length=1, description="Its name on the server or on disk, or a folder."
    )
    timeout_s: float = Field(default=120.0, gt=0, le=3600, description="For one photograph, all tries together.")
    retries: int = Field(default=2, ge=0, le=10, description="How often it is asked again.")
    max_tokens: int = Field(default=1500, ge=16, le=32_768, description="Of one answer.")
    constrained: bool = Field(default=True, description="Hold answers to the schema while they are made.")
    four_bit: bool = Field(default=True, description="Load a local model in 4 bits where CUDA and bitsandbytes are.")
    prompt_price: float = Field(default=0.0, ge=0, description="Of a million tokens of questions.")
    completion_price: float = Field(default=0.0, ge=0, description="Of a million tokens of answers.")


class DatabaseSettings(BaseModel):
    """How the database is used, and how the embedded server behaves."""

    keep_warm: bool = Field(default=False, description="Leave the embedded server running when its last user leaves.")
    connections: int = Field(default=8, ge=1, le=1000, description="Connections that one process holds at most.")
    wait_s: float = Field(default=30.0, gt=0, le=600, description="How long one waits for a connection to be free.")


class ServiceSettings(BaseModel):
    """What `seemory serve` takes on."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8600, ge=0, le=65_535, description="Port to listen on; 0: any that is free.")
    batching: bool = Field(default=True, description="Requests that come together share passes of the encoder.")
    batch_size: int = Field(default=16, ge=1, le=256, description="Texts or pictures of one shared pass, at most.")
    workers: int = Field(default=1, ge=1, le=64, description="Processes that answer at the port.")
    head_s: float = Field(default=10.0, gt=0, le=600, description="How long the head of a request may take to come.")
    queue: int = Field(default=64, ge=1, le=1000, description="Requests under way or waiting; one more is refused.")
    timeout_s: float = Field(default=30.0, gt=0, le=600, description="How long one request may take.")
    stop_s: int = Field(default=30, ge=1, le=600, description="How long a stop waits for requests under way.")
    max_upload_bytes: int = Field(default=33_554_432, ge=1024, description="A larger body is refused.")
    keys: Literal["auto", "required", "none"] = Field(
        default="auto", description="Who needs a key: all but this machine, everybody, or nobody."
    )
    rate: int = Field(default=1200, ge=0, le=1_000_000, description="Requests a minute of one key; 0: any number.")
    origins: tuple[str, ...] = Field(default=(), description="Other origins whose pages may ask with a key (CORS).")
    roots: tuple[Path, ...] = Field(default=(), description="Folders whose originals may be handed out.")
    index_roots: tuple[Path, ...] = Field(
        default=(), description="Folders whose files whoever may write can have indexed by path."
    )
    jobs: int = Field(default=1, ge=1, le=64, description="Jobs that run at once; the others wait.")
    max_batch_bytes: int = Field(default=536_870_912, ge=1024, description="A larger upload of many is refused.")
    log_requests: bool = Field(default=True, description="A line of log for each request.")
    decoders: int = Field(default=2, ge=1, le=64, description="Processes that decode uploads, a picture each at once.")
    decoder_mb: int = Field(default=2000, ge=300, le=100_000, description="Megabytes that such a process may take.")
    decoder_s: float = Field(default=10.0, gt=0, le=600, description="How long decoding one picture may take.")


def default_home() -> Path:
    """The platform's user data folder for Seemory, or `SEEMORY_HOME`."""
    return Path(os.environ.get("SEEMORY_HOME") or user_data_path("seemory", appauthor=False)).expanduser().absolute()


class Settings(BaseSettings):
    """The whole configuration of one Seemory."""

    model_config = SettingsConfigDict(env_prefix="SEEMORY_", env_nested_delimiter="__", extra="ignore")

    home: Path = Field(default_factory=default_home, description="The data folder.")
    database_url: str | None = Field(default=None, description="A Postgres with pgvector; by default the embedded one.")
    owner: str = Field(default="local", min_length=1, max_length=200, description="Whose memory it is.")
    collection: str = Field(
        default="default", min_length=1, max_length=200, description="The named set of items in use."
    )
    model: str = Field(
        default="auto", description="Encoder of a new collection: a catalogue name, a folder, or `auto`."
    )
    index: IndexSettings = IndexSettings()
    media: MediaSettings = MediaSettings()
    video: VideoSettings = VideoSettings()
    models: ModelSettings = ModelSettings()
    search: SearchSettings = SearchSettings()
    memory: MemorySettings = MemorySettings()
    critic: CriticSettings = CriticSettings()
    database: DatabaseSettings = DatabaseSettings()
    service: ServiceSettings = ServiceSettings()

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the data folder's `config.toml`; no .env files, no secrets folders."""
        given = init_settings().get("home")
        home = Path(given).expanduser() if given else default_home()
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, home / "config.toml")


def read_settings(**given: object) -> Settings:
    """The settings, with `given` arguments (None means "not given") over environment and file.

    Raises:
        UsageError: a value is out of its range or of the wrong form; the message names it.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"settings: {wrong}") from error
    except ValueError as error:  # a config.toml that is no TOML
        raise UsageError(f"settings: config.toml in the data folder cannot be read: {error}") from error
