module poolproof.dev/clients/go/old

go 1.26

require (
	github.com/google/uuid v1.6.0
	github.com/microsoft/azure-devops-go-api/azuredevops v1.0.0-b5
)
