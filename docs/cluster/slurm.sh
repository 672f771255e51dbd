#!/bin/bash
#SBATCH --job-name=ser-bench
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --exclusive
#SBATCH --time=12:00:00
#SBATCH --output=%x-%j.log

# Ray on the allocation, `bench` on its first node:
#
#   sbatch slurm.sh run -b all -t ravdess --data ravdess=/shared/RAVDESS --seeds 5
#   sbatch slurm.sh tune -b hubert,wavlm -t ravdess --storage postgresql+psycopg://USER@HOST/optuna
#
# Submit it from a folder on a disk that all nodes share; results and cache are kept there. When the time is up, submit
# the same line again: it goes on. VENV: the environment that ser-bench[ray] is installed in, on that disk, too.
# TRACKING_URI: your MLflow server; without it the job runs one of its own over results/.

set -euo pipefail
source "${VENV:-$HOME/ser-bench}/bin/activate"
here=$SLURM_SUBMIT_DIR
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 # without a token, whoever reaches Ray's ports runs code as you
ray get-auth-token --generate > /dev/null            # ~/.ray/auth_token, made once

if [[ -z ${TRACKING_URI:-} ]]; then # one process has the SQLite file open, whatever the shared disk thinks of locks
    mkdir -p "$here/results"
    TRACKING_URI=http://$first:5000
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --workers 1 --host "$first" --port 5000 \
        --allowed-hosts "$first:5000" --backend-store-uri "sqlite:///$here/results/mlflow.db" \
        --default-artifact-root "file://$here/results/artifacts" --no-serve-artifacts &
    trap 'kill %1' EXIT
    until curl --silent --fail "$TRACKING_URI/health" > /dev/null; do
        kill -0 %1 # ends the job if the server has ended
        sleep 2
    done
fi

cd "$here"
srun ray symmetric-run --address "$first:6379" --min-nodes "$SLURM_JOB_NUM_NODES" -- \
    bench "$@" --executor ray --ray-address "$first:6379" --cache "$here/cache" --results "$here/results" \
    --tracking-uri "$TRACKING_URI"
