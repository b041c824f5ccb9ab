#!/usr/bin/env bash
# make test-slurm: a sweep on a real Slurm, in a cluster of one node that is made here and taken down again.
# As root on Debian or Ubuntu: installs slurm-wlm and munge where they are missing, sweeps four jobs, and while they run
# sends one of them the signal by which Slurm says that its time is up, and has Slurm kill and requeue another one.
# All four have to finish, and the two have to go on from their checkpoints. Last, a sweep whose jobs are still queued
# starts over with other settings: the queued ones have to be cancelled. PYTHON names the interpreter.
set -euo pipefail
PYTHON=${PYTHON:-python}
WORK=$(mktemp -d)
NODE=$(hostname -s)
EPOCHS=8

if [ "$(id -u)" != 0 ]; then echo "make test-slurm: needs root, to start a cluster" >&2; exit 1; fi
if pgrep -x slurmctld > /dev/null; then echo "make test-slurm: a Slurm runs here already" >&2; exit 1; fi
if ! command -v slurmctld > /dev/null || ! command -v munged > /dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge > "$WORK/apt.log"
fi

own_munged=
sweep=
cleanup() {
  status=$?
  if [ $status != 0 ]; then
    tail -n 15 "$WORK"/*.log >&2 || true
    find "$WORK/outputs" -name '*.out' -exec tail -n 5 {} + >&2 || true
  fi
  if [ -n "$sweep" ]; then kill $sweep 2> /dev/null || true; fi
  scancel --user=root 2> /dev/null || true
  # What of a job outlived this cluster would report to the next one.
  for _ in $(seq 60); do if [ -z "$(squeue --noheader 2> /dev/null)" ]; then break; fi; sleep 1; done
  for name in slurmd slurmctld; do
    if [ -f "$WORK/$name.pid" ]; then kill "$(cat "$WORK/$name.pid")" 2> /dev/null || true; fi
  done
  if [ -n "$own_munged" ]; then kill "$(cat /run/munge/munged.pid)" 2> /dev/null || true; fi
  sleep 2
  rm -rf "$WORK"
  exit $status
}
trap cleanup EXIT

if ! munge -n > /dev/null 2>&1; then
  mkdir -p /run/munge && chown munge: /run/munge
  runuser -u munge -- munged
  own_munged=yes
fi
# A requeued job may start once its old credential has expired: after seconds here, and not after two minutes.
cat > "$WORK/slurm.conf" << CONF
ClusterName=one
SlurmctldHost=$NODE(127.0.0.1)
SlurmUser=root
AuthInfo=cred_expire=5
StateSaveLocation=$WORK/state
SlurmdSpoolDir=$WORK/spool
SlurmctldPidFile=$WORK/slurmctld.pid
SlurmdPidFile=$WORK/slurmd.pid
SlurmctldLogFile=$WORK/slurmctld.log
SlurmdLogFile=$WORK/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
NodeName=$NODE NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$WORK/slurm.conf"
mkdir -p "$WORK/state" "$WORK/spool"
slurmctld
slurmd
for _ in $(seq 30); do if sinfo --noheader --format=%t 2> /dev/null | grep -qE 'idle|mix'; then break; fi; sleep 1; done
sinfo

cd "$WORK"
train() { # in the background: a sweep of this name and so many epochs; further words are overrides
  exec "$PYTHON" -m pixelcnn_lit.train -m name="$1" trainer.max_epochs="$2" launcher=slurm hydra.launcher.timeout_min=30 \
    hydra.launcher.cpus_per_task=1 trainer=cpu data.source=embedded model.n_res=1 data.batch_size=16 \
    trainer.limit_train_batches=40 trainer.limit_val_batches=4 trainer.limit_test_batches=4 logger=none "${@:3}"
}
train cluster $EPOCHS data.levels=2,4 model.hidden=4,8 > "$WORK/sweep.log" 2>&1 &
sweep=$!

begun() { # a job that has a checkpoint and is not done; the first argument is one to leave out
  for folder in "$WORK"/outputs/cluster/data*; do
    if [ -f "$folder/checkpoints/last.ckpt" ] && [ -f "$folder/.slurm_job" ] && [ ! -f "$folder/metrics.json" ] \
      && [ "$folder" != "${1:-}" ]; then echo "$folder"; return; fi
  done
}
await() { # a job, for some minutes
  for _ in $(seq 1200); do
    if found=$(begun "${1:-}") && [ -n "$found" ]; then echo "$found"; return; fi
    if ! kill -0 $sweep 2> /dev/null; then return 1; fi
    sleep 0.2
  done
  return 1
}
first=$(await)
number=$(cat "$first/.slurm_job")
echo "SIGUSR2, as at the end of its time, to job $number: $(basename "$first")"
# Sent once: scancel would try again while the job is requeued, and signal it anew.
timeout 2 scancel --signal=USR2 "$(squeue --noheader --jobs="$number" --format=%A)" || true
second=$(await "$first")
other=$(cat "$second/.slurm_job")
echo "killed and requeued by Slurm, job $other: $(basename "$second")"
scontrol requeue "$other"

wait $sweep
tail -n 9 "$WORK/sweep.log"
for job in "$number" "$other"; do
  if ! scontrol show job "$job" | grep -q 'Restarts=1'; then echo "job $job was not requeued" >&2; exit 1; fi
done
"$PYTHON" - "$WORK/outputs/cluster" $EPOCHS << 'CHECK'
import json
import sys
from pathlib import Path

folder, epochs = Path(sys.argv[1]), int(sys.argv[2])
found = sorted(folder.glob("*/metrics.json"))
assert len(found) == 4, found
for path in found:
    metrics = json.loads(path.read_text())
    assert metrics["epochs"] == epochs and 0 < metrics["test/bits_per_dim"] < 2, (path, metrics)
logs = [path.read_text() for path in (folder / ".slurm").rglob("*.out")]
begun = sum(log.count(f"epoch   1/{epochs}") for log in logs)
assert begun == 4, f"{begun} jobs began at epoch 1, not 4: a requeued one has lost its checkpoint"
print(f"four metrics.json with {epochs} epochs each; no job did its first epoch twice")
CHECK

submitted() { # the number of the queued job, once it is another than that of the first argument
  for _ in $(seq 300); do
    number=$(cat "$WORK"/outputs/over/*/.slurm_job 2> /dev/null || true)
    if [ -n "$number" ] && [ "$number" != "${1:-}" ]; then echo "$number"; return; fi
    sleep 0.2
  done
  return 1
}
scontrol update nodename="$NODE" state=drain reason=test  # what is submitted now stays in the queue
train over 3 model.hidden=4 > "$WORK/over.log" 2>&1 &
sweep=$!
old=$(submitted)
kill $sweep  # of the one that waits; the job stays
wait $sweep || true
train over 1 model.hidden=4 overwrite=true > "$WORK/over.log" 2>&1 &
sweep=$!
new=$(submitted "$old")
if squeue --noheader --array --format=%i | grep -qx "$old"; then echo "job $old is still queued" >&2; exit 1; fi
scontrol update nodename="$NODE" state=resume
wait $sweep
grep -q '"steps": 40,' "$WORK"/outputs/over/*/metrics.json
echo "job $old, which was queued, was cancelled; job $new ran in its place"
