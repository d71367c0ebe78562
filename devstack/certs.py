"""A certificate authority for one folder, made with the `openssl` program.

The control plane needs one: its API server identifies users by client certificates. Keys are EC
P-256, which take milliseconds to make. Files that exist are kept, so that a stack that is started
again keeps its identity.
"""

import asyncio
import dataclasses
import pathlib
import shutil
import ssl
from collections.abc import Sequence

from devstack import errors

VALID_DAYS = 3650
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclasses.dataclass(frozen=True)
class KeyPair:
    """A certificate with its private key, both PEM files."""

    certificate: pathlib.Path
    key: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Authority:
    """A certificate authority that lives in `folder`."""

    folder: pathlib.Path
    pair: KeyPair

    async def issue_server(self, name: str, alternative_names: Sequence[str]) -> KeyPair:
        """A server certificate; alternative names read "IP:127.0.0.1" or "DNS:localhost"."""
        extensions = (
            "extendedKeyUsage=serverAuth",
            f"subjectAltName={','.join(alternative_names)}",
        )
        return await self._issue(name, f"/CN={name}", extensions)

    async def issue_client(self, file_name: str, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """A client certificate in which Kubernetes reads the user (CN) and its groups (O)."""
        subject = "".join([*(f"/O={group}" for group in groups), f"/CN={user}"])
        return await self._issue(file_name, subject, ("extendedKeyUsage=clientAuth",))

    async def issue_signer(self, name: str) -> KeyPair:
        """A key for signing tokens; the certificate carries its public half."""
        return await self._issue(name, f"/CN={name}", ("keyUsage=digitalSignature",))

    def build_tls_context(self, client: KeyPair | None = None) -> ssl.SSLContext:
        """A client's TLS context that trusts this authority only."""
        context = ssl.create_default_context(cafile=str(self.pair.certificate))
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        return context

    async def _issue(self, name: str, subject: str, extensions: Sequence[str]) -> KeyPair:
        pair = _name_pair(self.folder, name)
        if not pair.certificate.exists():
            issuer = ["-CA", str(self.pair.certificate), "-CAkey", str(self.pair.key)]
            await _make_certificate(pair, subject, issuer, extensions)
        return pair


async def create_authority(folder: pathlib.Path, name: str) -> Authority:
    """The authority of a folder, made at the first call."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    pair = _name_pair(folder, "ca")
    if not pair.certificate.exists():
        extensions = ("keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash")
        await _make_certificate(pair, f"/CN={name}", [], extensions)
    return Authority(folder, pair)


def _name_pair(folder: pathlib.Path, name: str) -> KeyPair:
    return KeyPair(folder / f"{name}.crt", folder / f"{name}.key")


async def _make_certificate(
    pair: KeyPair, subject: str, issuer: Sequence[str], extensions: Sequence[str]
) -> None:
    # Under a temporary name first: a certificate that exists counts as made.
    unfinished = pair.certificate.with_suffix(".crt.new")
    options = [option for extension in extensions for option in ("-addext", extension)]
    request = ["req", "-x509", *_NEW_KEY, "-days", str(VALID_DAYS), "-subj", subject]
    files = ["-keyout", str(pair.key), "-out", str(unfinished)]
    log_path = pair.certificate.with_suffix(".log")
    await _run_openssl([*request, *issuer, *options, *files], log_path)
    unfinished.rename(pair.certificate)


async def _run_openssl(arguments: Sequence[str], log_path: pathlib.Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        raise errors.MissingTool("openssl", "run tools/system-packages.sh")
    argv = [openssl, *arguments]
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log)
        status = await process.wait()
    if status != 0:
        raise errors.CommandFailed(argv, status, log_path)
    log_path.unlink()
