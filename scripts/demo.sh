#!/usr/bin/env bash
# The whole story on a bare Debian 12: install, build, make clicks, train, validate, export, predict.
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-1000000}

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

scripts/setup.sh
scripts/build.sh
folder=demo
rm -rf "$folder"
mkdir "$folder"
run build/capstan synth --kind=clicks --rows="$rows" --files=4 --seed=1 --output="$folder/train"
run build/capstan synth --kind=clicks --first_row="$rows" --rows=$((rows / 10)) --seed=1 --output="$folder/valid"
run build/capstan train --model_file=examples/clicks/model.yaml --train_files="$folder/train-*.tfrecord" \
  --validation_files="$folder/valid-*.tfrecord" --checkpoint_path="$folder/ck" --output_path="$folder/events" \
  --model_path="$folder/export"
run build/capstan evaluate --model_path="$folder/export" --files="$folder/valid-*.tfrecord"
run build/capstan predict --model_path="$folder/export" --files="$folder/valid-*.tfrecord" --output="$folder/predictions.csv"
run head -n 4 "$folder/predictions.csv"
echo
echo "\$ build/capstan inspect $folder/export | sed -n 1,24p"
build/capstan inspect "$folder/export" | sed -n 1,24p  # not head: it would cut the program off
echo
echo "Curves: tensorboard --logdir $folder/events"
echo "The same numbers in TensorFlow: tf.saved_model.load(\"$folder/export/1\").signatures[\"serving_default\"]"
