# A first run on GKE, in a checkout of Suanli, stage by stage: read each one, paste it, look at what it prints. The page
# docs/gke.md says what to expect. Nothing here has been run by the command that printed it.

# 1. Names. Every later stage uses them: keep this shell, or paste this block again in a new one.
@exports@
export CLOUDSDK_CORE_PROJECT="$PROJECT"      # gcloud's project, in this shell alone
export REGISTRY="$REGION-docker.pkg.dev/$PROJECT/$REPOSITORY"
export NODES="suanli-nodes@$PROJECT.iam.gserviceaccount.com"
export RUNS="suanli-dev@$PROJECT.iam.gserviceaccount.com"
export BUILDS="suanli-builds@$PROJECT.iam.gserviceaccount.com"
cat > targets.toml <<EOF
[gke]
image_prefix = "$REGISTRY/suanli-python"
data_root = "gs://$BUCKET/data"
checkpoint_root = "gs://$BUCKET/checkpoints"
registry = "gs://$BUCKET/registry"
pipeline_root = "gs://$BUCKET/kfp"
host = "http://localhost:8080"
namespace = "kubeflow"
service_account = "suanli-runner"
EOF

# 2. APIs, and what may be used of each accelerator: an L4 needs 1 in the region, and 1 in GPUS_ALL_REGIONS.
gcloud auth login
gcloud auth application-default login
gcloud services enable compute.googleapis.com container.googleapis.com artifactregistry.googleapis.com \
  storage.googleapis.com iam.googleapis.com cloudbuild.googleapis.com
gcloud compute regions describe "$REGION" --flatten=quotas --format="table(quotas.metric,quotas.limit,quotas.usage)" |
  grep -E "METRIC|L4|^CPUS"
gcloud compute project-info describe --flatten=quotas --format="table(quotas.metric,quotas.limit,quotas.usage)" |
  grep -E "METRIC|ALL_REGIONS"
gcloud compute accelerator-types list --filter="zone:$ZONE"

# 3. Accounts: of the nodes, which fetch images; of the runs, which use the bucket; of the builds.
gcloud iam service-accounts create suanli-nodes --display-name="Suanli nodes"
gcloud iam service-accounts create suanli-dev --display-name="Suanli runs"
gcloud iam service-accounts create suanli-builds --display-name="Suanli image builds"
gcloud projects add-iam-policy-binding "$PROJECT" --condition=None \
  --member="serviceAccount:$NODES" --role=roles/container.defaultNodeServiceAccount
gcloud projects add-iam-policy-binding "$PROJECT" --condition=None \
  --member="serviceAccount:$BUILDS" --role=roles/cloudbuild.builds.builder

# 4. The bucket, which these accounts may use: you, and the runs. Artifacts of Kubeflow are removed after 90 days.
gcloud storage buckets create "gs://$BUCKET" --location="$REGION" --uniform-bucket-level-access \
  --public-access-prevention
cat > lifecycle.json <<'EOF'
{"rule": [{"action": {"type": "Delete"}, "condition": {"age": 90, "matchesPrefix": ["kfp/"]}}]}
EOF
gcloud storage buckets update "gs://$BUCKET" --lifecycle-file=lifecycle.json
gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --role=roles/storage.objectAdmin \
  --member="user:$(gcloud config get-value account)"
gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --role=roles/storage.objectAdmin \
  --member="serviceAccount:$RUNS"

# 5. The repository of images, from which the nodes may read.
gcloud artifacts repositories create "$REPOSITORY" --repository-format=docker --location="$REGION"
gcloud artifacts repositories add-iam-policy-binding "$REPOSITORY" --location="$REGION" \
  --member="serviceAccount:$NODES" --role=roles/artifactregistry.reader
gcloud auth configure-docker "$REGION-docker.pkg.dev"

# 6. The cluster, in one zone, with two machines for Kubeflow and the steps without an accelerator.
gcloud container clusters create "$CLUSTER" --location="$ZONE" --workload-pool="$PROJECT.svc.id.goog" \
  --enable-dataplane-v2 --release-channel=regular --machine-type=e2-standard-4 --disk-size=100 --num-nodes=2 \
  --enable-autoscaling --min-nodes=2 --max-nodes=4 --service-account="$NODES" --workload-metadata=GKE_METADATA
gcloud container clusters get-credentials "$CLUSTER" --location="$ZONE"

# 7. The machines with accelerators: none until a step asks for one.
@pools@

# 8. Kubeflow Pipelines, with retries after a preemption.
kubectl apply -k "github.com/kubeflow/pipelines/manifests/kustomize/cluster-scoped-resources?ref=2.17.0"
kubectl wait --for condition=established --timeout=60s crd/applications.app.k8s.io
kubectl apply -k manifests/kubeflow
kubectl wait --namespace kubeflow --for condition=available --timeout=15m deployment --all

# 9. What is ours on the cluster, and the runs' Google account.
cat > manifests/overlays/dev/settings.yaml <<EOF
apiVersion: v1
kind: ConfigMap
metadata:
  name: suanli-settings
  annotations:
    config.kubernetes.io/local-config: "true"
data:
  submitters: $SUBMITTERS
  googleServiceAccount: $RUNS
  pipelineRoot: gs://$BUCKET/kfp
EOF
kubectl kustomize manifests/overlays/dev | kubectl apply --server-side --force-conflicts -f -
gcloud iam service-accounts add-iam-policy-binding "$RUNS" --role=roles/iam.workloadIdentityUser \
  --member="serviceAccount:$PROJECT.svc.id.goog[kubeflow/suanli-runner]"
# Kubeflow's server and its pages read the bucket, for previews.
export NUMBER="$(gcloud projects describe "$PROJECT" --format="value(projectNumber)")"
for account in ml-pipeline ml-pipeline-ui; do
  gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --role=roles/storage.objectViewer \
    --member="principal://iam.googleapis.com/projects/$NUMBER/locations/global/workloadIdentityPools/$PROJECT.svc.id.goog/subject/ns/kubeflow/sa/$account"
done

# 10. The images: with docker or podman here, or by Cloud Build (then leave the first line out).
make images push TARGETS="cpu gpu" REGISTRY="$REGISTRY"
python -m pipelines.images cloud-build --registry "$REGISTRY" cpu gpu > cloudbuild.json
gcloud builds submit . --config=cloudbuild.json --region="$REGION" \
  --service-account="projects/$PROJECT/serviceAccounts/$BUILDS"

# 11. The way in: leave it running in a second shell.
kubectl port-forward --namespace kubeflow svc/ml-pipeline-ui 8080:80

# 12. The first run. Every doctor line is ok but for pools at zero.
suanli doctor --target gke
suanli submit fashion_mnist --target gke --accelerator @accelerator@ --dry-run
suanli submit fashion_mnist --target gke --accelerator @accelerator@ --wait
