# What the stages 2 to 7 of suanli bootstrap gke make, for Terraform; the other stages are the same.

locals {
@locals@
}

provider "google" {
  project = local.project
  region  = local.region
}

data "google_project" "this" {}

resource "google_project_service" "api" {
  for_each = toset(["artifactregistry", "cloudbuild", "compute", "container", "iam", "storage"])

  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_service_account" "account" {
  for_each = toset(["suanli-nodes", "suanli-dev", "suanli-builds"])

  account_id = each.key
  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "project" {
  for_each = {
    "suanli-nodes"  = "roles/container.defaultNodeServiceAccount"
    "suanli-builds" = "roles/cloudbuild.builds.builder"
  }

  project = local.project
  role    = each.value
  member  = google_service_account.account[each.key].member
}

resource "google_storage_bucket" "runs" {
  name                        = local.bucket
  location                    = local.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = 90
      matches_prefix = ["kfp/"]
    }
  }
}

resource "google_storage_bucket_iam_member" "runs" {
  bucket = google_storage_bucket.runs.name
  role   = "roles/storage.objectAdmin"
  member = google_service_account.account["suanli-dev"].member
}

resource "google_storage_bucket_iam_member" "kubeflow" {
  for_each = toset(["ml-pipeline", "ml-pipeline-ui"])

  bucket = google_storage_bucket.runs.name
  role   = "roles/storage.objectViewer"
  member = "principal://iam.googleapis.com/projects/${data.google_project.this.number}/locations/global/workloadIdentityPools/${local.project}.svc.id.goog/subject/ns/kubeflow/sa/${each.key}"

  # The pool of identities comes with the first cluster that has one.
  depends_on = [google_container_cluster.cluster]
}

resource "google_service_account_iam_member" "runs" {
  service_account_id = google_service_account.account["suanli-dev"].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${local.project}.svc.id.goog[kubeflow/suanli-runner]"
  depends_on         = [google_container_cluster.cluster]
}

resource "google_artifact_registry_repository" "images" {
  repository_id = local.repository
  location      = local.region
  format        = "DOCKER"
  depends_on    = [google_project_service.api]
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  repository = google_artifact_registry_repository.images.name
  location   = local.region
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.account["suanli-nodes"].member
}

resource "google_container_cluster" "cluster" {
  name                     = local.cluster
  location                 = local.zone
  datapath_provider        = "ADVANCED_DATAPATH"
  initial_node_count       = 1
  remove_default_node_pool = true
  deletion_protection      = false
  depends_on               = [google_project_service.api]

  release_channel {
    channel = "REGULAR"
  }

  workload_identity_config {
    workload_pool = "${local.project}.svc.id.goog"
  }
}

resource "google_container_node_pool" "cpu" {
  name               = "cpu"
  cluster            = google_container_cluster.cluster.name
  location           = local.zone
  initial_node_count = 2

  autoscaling {
    min_node_count = 2
    max_node_count = 4
  }

  node_config {
    machine_type    = "e2-standard-4"
    disk_size_gb    = 100
    service_account = google_service_account.account["suanli-nodes"].email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}

@pools@
