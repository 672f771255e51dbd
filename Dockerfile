# docker build -t ser-bench .                                        CUDA: torch brings its libraries along
# docker build -t ser-bench --build-arg TORCH_INDEX=INDEX_URL .      CPU: the index of CPU builds that PyTorch's site names
# docker run --rm --gpus all -v "$PWD/results:/results" ser-bench run --results /results
FROM python:3.11-slim

ARG TORCH_INDEX=""
WORKDIR /ser-bench
COPY . .
RUN pip install --no-cache-dir -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && pip install --no-cache-dir -c constraints.txt .
ENV SER_BENCH_HOME=/cache
VOLUME ["/results", "/cache"]
WORKDIR /
ENTRYPOINT ["bench"]
