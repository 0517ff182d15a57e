#!/bin/sh
# The session shown in docs/monailabel.md: sh scripts/label_session.sh URL TRUTH
# URL: a server that `medseg label serve --bundles unetpp` started on photographs named img0, IMG1, img2 … img7;
# TRUTH: a folder with the masks img0.png, IMG1.png, img2.png and img3.png in class numbers. Needs curl and jq.
set -u
URL=$1 TRUTH=$2 WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
say() { printf '$ %s\n' "$*"; eval "$*"; echo; }
wait_for() { while curl -s "$URL/$1" | grep -qE '"status":"(RUNNING|SUBMITTED)"'; do sleep 2; done; }
json="-H 'Content-Type: application/json'"
cp "$TRUTH"/*.png "$WORK" && cd "$WORK" && echo "no picture" > notes.png

say "curl -s $URL/info/ | jq -c '{labels, models: (.models | map_values({labels, dimension})), strategies: (.strategies | keys), datastore}'"
say "curl -s -X POST $URL/activelearning/uncertainty $json -d '{}' | jq -c '{id, uncertainty, name}'"
say "curl -s -o mask.png -w '%{http_code} %{content_type}\n' -X POST '$URL/infer/unetpp?image=IMG1&output=image'"
for image in img0 IMG1 img2 img3; do
    say "curl -s -X PUT '$URL/datastore/label?image=$image&tag=final' -F label=@$image.png"
done
say "curl -s -X POST $URL/train/unetpp $json -d '{\"max_epochs\": 5, \"run_id\": \"\"}' | jq -c '{status, request}'"
wait_for train/
say "curl -s $URL/train/ | jq -r '.status, (.details[] | select(test(\"epoch\")))'"
say "curl -s -X POST '$URL/infer/unetpp?image=img5&output=json' | jq -c '{uncertainty, label_names}'"
say "curl -s -X POST '$URL/batch/infer/unetpp?images=unlabeled' $json -d '{\"device\": \"cpu\"}' | jq -c .status"
wait_for batch/infer
say "curl -s $URL/batch/infer | jq -c .status; curl -s $URL/datastore/"
say "curl -s -X POST '$URL/infer/unetp?image=img0'"
say "curl -s -X POST '$URL/infer/unetpp?image=nobody'"
say "curl -s -X POST $URL/infer/unetpp -F file=@notes.png"
say "curl -s -o /dev/null -w '%{http_code}\n' $URL/info/"
