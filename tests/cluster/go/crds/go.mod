module suanli/cluster/crds

go 1.26.0

// Only files of these modules are read: nothing of them is built.
require (
	github.com/argoproj/argo-workflows/v4 v4.0.5
	sigs.k8s.io/kueue v0.19.2
)
