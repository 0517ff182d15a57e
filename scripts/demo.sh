#!/bin/sh
# Real photographs with the shipped weights, then the whole job on generated pictures: data, training, evaluation, masks. `make demo` installs first.
# The network that is trained is a narrow U-Net++ on small pictures, so that a processor of two cores has done it in minutes.
set -eu
cd "$(dirname "$0")/.."
out=demo
medseg predict unetpp examples --out "$out/photographs" --overlays --overwrite
medseg explain unetpp examples/ISIC_0000361.jpg --out "$out/explanation"
echo "photographs: $out/photographs/index.html; where the network looked: $out/explanation"
echo "now the whole job on generated pictures"
medseg prepare demo --out "$out/data"
medseg train unetpp --dataset-dir "$out/data" --output-dir "$out/weights" --max-epochs 10 --size 96 --batch-size 8 \
    --set "architecture#features=[16, 32, 64, 128, 256]" --set "architecture#stem_stride=2"
medseg evaluate unetpp --dataset-dir "$out/data" --weights "$out/weights" --out "$out/evaluation"
medseg predict unetpp "$out/data/images" --weights "$out/weights" --out "$out/masks" --overwrite
echo
echo "photographs  $out/photographs/index.html; where the network looked: $out/explanation"
echo "weights   $out/weights/model.pt, and spec.json: what they are for"
echo "metrics   $out/evaluation/summary.md, one line per case in cases.csv"
echo "masks     $out/masks/*_mask.png"
echo "pictures  $out/evaluation/cases.jpg, and a page of all masks: $out/masks/index.html"
