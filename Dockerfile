# denoir in a container. For a CPU as it stands; for a GPU:
#   docker build --build-arg TORCH=cuda --build-arg TORCH_INDEX= -t denoir:cuda .
# BASE is the image under all stages, one of Debian's. TORCH names the lock of torch, cpu or cuda. TORCH_INDEX is an index
# that has that build, beside the one that pip knows: PyTorch's own has the CPU's.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
ARG TORCH=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY locks/torch-${TORCH}.txt /tmp/torch.txt
# What torch needs for compiling C++ against it, and its own tests, serve nobody here.
RUN python3 -m venv /opt/denoir \
    && PIP_EXTRA_INDEX_URL=${TORCH_INDEX} /opt/denoir/bin/pip install --no-cache-dir --no-deps --require-hashes \
        --requirement /tmp/torch.txt \
    && torch=$(echo /opt/denoir/lib/python3*/site-packages/torch) \
    && rm -rf "$torch/include" "$torch/share" "$torch/test" \
    && find "$torch/bin" -type f ! -name torch_shm_manager -delete
COPY locks/service.txt /tmp/service.txt
# OpenVINO's plugins for other processors and its readers of other frameworks' files serve nobody here.
RUN /opt/denoir/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/service.txt \
    && rm -f /opt/denoir/lib/python3*/site-packages/openvino/libs/libopenvino_intel_[gn]pu_plugin.so \
        /opt/denoir/lib/python3*/site-packages/openvino/libs/libopenvino_onnx_frontend.so* \
        /opt/denoir/lib/python3*/site-packages/openvino/libs/libopenvino_paddle_frontend.so* \
        /opt/denoir/lib/python3*/site-packages/openvino/libs/libopenvino_tensorflow*_frontend.so*

FROM dependencies AS code
# For the kernels of models/winograd.c; what they were made with stays in this stage.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml README.md LICENSE LICENSE-WEIGHTS NOTICE ATTRIBUTION.md /src/
COPY models /src/models
COPY service /src/service
RUN /opt/denoir/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index --target /code /src

FROM ${BASE}
COPY --from=dependencies /opt/denoir /opt/denoir
COPY --from=code /code /code
ENV PATH=/code/bin:/opt/denoir/bin:$PATH \
    PYTHONPATH=/code \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DENOIR_HOST=0.0.0.0 \
    DENOIR_MODELS=/models \
    DENOIR_CACHE=/code/cache
# The models that ship are compiled here, so that the service starts at once and need not write.
RUN ["denoir", "prepare"]
USER 65534:65534
WORKDIR /code
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python3", "-c", \
    "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/healthz' % os.getenv('DENOIR_PORT', 8000), timeout=4)"]
CMD ["denoir", "serve"]
