"""A local S3 server (moto) and buckets in it, for tests of roots, catalogs and stores in a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import boto3
import pytest

# What every client of the server is given; it checks none of it.
ACCESS_KEY, SECRET_KEY, REGION = "test", "test", "us-east-1"


@contextmanager
def run_s3(address: str = "127.0.0.1") -> Iterator[str]:
    """Start a server and give its URL; skips the test where moto is not installed."""
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    running = server.ThreadedMotoServer(ip_address=address, port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        running.stop()


def open_client(endpoint: str):
    """A boto3 client of the server."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
    )


def create_bucket(endpoint: str) -> str:
    """Make a bucket that nobody else uses; say its name."""
    name = f"bucket-{uuid4().hex[:12]}"
    open_client(endpoint).create_bucket(Bucket=name)
    return name


def storage_options(endpoint: str) -> dict[str, str]:
    """Options of this project's stores and warehouse roots for the server."""
    return {
        "endpoint": endpoint,
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
        "region": REGION,
        "allow_http": "true",
    }
