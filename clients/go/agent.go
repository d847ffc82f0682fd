package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/taskagent"
)

var (
	sessions = uuid.MustParse("134e239e-2df3-4794-a6f6-24f1f19ec8dc")
	messages = uuid.MustParse("c3a054f6-7a8a-49c0-944e-3a8e5d7adfd7")
	events   = uuid.MustParse("557624af-b29e-4c20-8ab0-0399d2204f3f")
)

// How long a job may take to come.
const patience = 5 * time.Minute

// agent plays one, so that builds come to something: by the client's own way to send any call by its location's id.
type agent struct {
	client     *azuredevops.Client
	pool       string
	registered int
	session    string
}

// job is what a message says of one.
type job struct {
	JobId     uuid.UUID
	RequestId int
	Plan      struct{ ScopeIdentifier, PlanId uuid.UUID }
	Timeline  struct{ Id uuid.UUID }
	Variables map[string]struct{ Value string }
}

// hub is the plans' hub of builds.
const hub = "Build"

func join(connection *azuredevops.Connection, client taskagent.Client, pool int, name string) *agent {
	capabilities := map[string]string{"Agent.Name": name, "java": "21"}
	registered := call(client.AddAgent, taskagent.AddAgentArgs{PoolId: &pool, Agent: &taskagent.TaskAgent{
		Name: &name, Version: new("4.258.1"), MaxParallelism: new(1), Enabled: new(true), SystemCapabilities: &capabilities,
	}})
	joined := &agent{
		client: connection.GetClientByUrl(connection.BaseUrl), pool: strconv.Itoa(pool), registered: *registered.Id,
	}
	answer := joined.send(http.MethodPost, sessions, nil, nil, map[string]any{
		"sessionId": uuid.Nil, "ownerName": name, "systemCapabilities": capabilities,
		"agent": map[string]any{"id": *registered.Id, "name": name, "version": "4.258.1"},
	})
	var session struct{ SessionId string }
	check(json.Unmarshal(answer, &session) == nil, "session: %s", answer)
	joined.session = session.SessionId
	return joined
}

// takeJob waits for a job, and takes it.
func (agent *agent) takeJob() job {
	query := url.Values{"sessionId": {agent.session}}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		answer := agent.send(http.MethodGet, messages, nil, query, nil)
		if len(answer) == 0 {
			continue
		}
		var message struct {
			MessageId         int
			MessageType, Body string
		}
		check(json.Unmarshal(answer, &message) == nil, "message: %s", answer)
		agent.send(http.MethodDelete, messages, map[string]string{"messageId": strconv.Itoa(message.MessageId)}, query, nil)
		if message.MessageType == "PipelineAgentJobRequest" {
			var taken job
			err := json.Unmarshal([]byte(message.Body), &taken)
			check(err == nil, "job: %v", err)
			return taken
		}
	}
	panic("no job came")
}

// complete says that a job is over.
func (agent *agent) complete(job job, result string) {
	route := map[string]string{
		"scopeIdentifier": job.Plan.ScopeIdentifier.String(), "hubName": hub, "planId": job.Plan.PlanId.String(),
	}
	agent.send(http.MethodPost, events, route, nil, map[string]any{
		"name": "JobCompleted", "jobId": job.JobId, "requestId": job.RequestId, "result": result,
	})
}

// leave ends the session; the registration stays.
func (agent *agent) leave() {
	agent.send(http.MethodDelete, sessions, map[string]string{"sessionId": agent.session}, nil, nil)
}

func (agent *agent) send(method string, location uuid.UUID, route map[string]string, query url.Values, body any) []byte {
	if route == nil {
		route = map[string]string{}
	}
	route["poolId"] = agent.pool
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		check(err == nil, "body: %v", err)
		content = bytes.NewReader(text)
	}
	json := azuredevops.MediaTypeApplicationJson
	response, err := agent.client.Send(ctx, method, location, "7.1-preview.1", route, query, content, json, json, nil)
	check(err == nil, "%s %s: %v", method, location, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	check(err == nil, "%s %s: %v", method, location, err)
	return answer
}
