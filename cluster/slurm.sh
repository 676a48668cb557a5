#!/bin/bash
# The recipe as a Slurm job, from the repository's root on a file system that the nodes share:
#
#   make .venv/installed && .venv/bin/dvc repro filter    # on a login node: compute nodes may lack network
#   sbatch cluster/slurm.sh
#
# dvc.lock and metrics/ are then where they belong. A job that is preempted, or comes to its time limit,
# is queued again and goes on from the last checkpoint. Several GPUs: --gpus-per-node=4 and
# train.num_processes: 4 in params.yaml. Several nodes: also --nodes=2. docs/clusters.md says more.
#
#SBATCH --job-name=whisper
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
# shellcheck disable=SC1091
source .venv/bin/activate

# In the background, because bash heeds a signal only while it waits.
run() {
    "$@" &
    wait $!
}

again() {
    echo "two minutes before the time limit: queued again"
    trap '' TERM
    kill -TERM 0  # all that this script has started
    scontrol requeue "$SLURM_JOB_ID"
    exit
}
trap again USR1

run dvc repro filter
if ((SLURM_JOB_NUM_NODES > 1)) && ! dvc status --quiet train; then
    PET_NNODES=$SLURM_JOB_NUM_NODES
    PET_MASTER_ADDR=$(hostname)  # this script runs on the first node
    PET_MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))
    export PET_NNODES PET_MASTER_ADDR PET_MASTER_PORT
    # shellcheck disable=SC2016
    run srun --ntasks-per-node=1 --kill-on-bad-exit=1 bash -c '
        export PET_NODE_RANK=$SLURM_NODEID
        if ((SLURM_NODEID == 0)); then
            dvc repro --single-item --no-run-cache train
        else
            PYTHONPATH=. python -m stages.train
        fi'
    unset PET_NNODES PET_MASTER_ADDR PET_MASTER_PORT
fi
run dvc repro
