package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"sort"
	"strings"

	"github.com/google/uuid"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7"
)

// What came of each method, by its interface's package and its own name. A method counts as answered once it returned, or was
// refused for a reason of the service's;
// the checks of what it returned end the program if they fail.
var outcomes = map[[2]string]string{}

const (
	answered   = "answered"
	notModeled = "501"
	notOffered = "not offered"
)

var ctx = context.Background()

// The project of scripts/clients.
const project = "shop"

// call calls a method of a client and gives its answer.
func call[Args, Answer any](method func(context.Context, Args) (Answer, error), args Args) Answer {
	answer, err := method(ctx, args)
	name := nameOf(method)
	check(err == nil, "%v: %v", name, err)
	outcomes[name] = answered
	return answer
}

// do calls a method that answers nothing.
func do[Args any](method func(context.Context, Args) error, args Args) {
	err := method(ctx, args)
	name := nameOf(method)
	check(err == nil, "%v: %v", name, err)
	outcomes[name] = answered
}

// refused calls a method that must fail, and say why by the key that clients look at.
func refused[Args, Answer any](typeKey string, method func(context.Context, Args) (Answer, error), args Args) {
	_, err := method(ctx, args)
	name := nameOf(method)
	check(err != nil, "%v: no %s", name, typeKey)
	wrapped := unwrapped(err)
	check(wrapped != nil && wrapped.TypeKey != nil && *wrapped.TypeKey == typeKey, "%v: %v, not %s", name, err, typeKey)
	outcomes[name] = answered
}

// nameOf is what the runtime calls a method value: "path/taskagent.Client.AddAgent-fm".
func nameOf(method any) [2]string {
	name := runtime.FuncForPC(reflect.ValueOf(method).Pointer()).Name()
	name = strings.TrimSuffix(name[strings.LastIndex(name, "/")+1:], "-fm")
	parts := strings.Split(name, ".")
	return [2]string{parts[0], parts[len(parts)-1]}
}

// refuseTheRest calls every method of a client that nobody has called yet, and accepts nothing but the answer of a
// service that does not model it. So a method that begins to be answered has to be checked, or the program fails.
func refuseTheRest(api string, client any) {
	value := reflect.ValueOf(client)
	var wrong []string
	for index := range value.NumMethod() {
		name := [2]string{api, value.Type().Method(index).Name}
		method := value.Method(index)
		if _, called := outcomes[name]; called || method.Type().NumIn() != 2 || method.Type().In(1).Kind() != reflect.Struct {
			continue
		}
		results := method.Call([]reflect.Value{reflect.ValueOf(ctx), something(method.Type().In(1), 0)})
		err, _ := results[len(results)-1].Interface().(error)
		outcome := refusal(err)
		outcomes[name] = outcome
		if outcome == "" {
			wrong = append(wrong, fmt.Sprint(name, ": ", err))
		}
	}
	check(len(wrong) == 0, "calls that are not refused as what is not modelled:\n%s", strings.Join(wrong, "\n"))
}

func refusal(err error) string {
	// The client looks a call's address up in the service's list, and asks nothing if it is not there.
	var unregistered *azuredevops.LocationIdNotRegisteredError
	if errors.As(err, &unregistered) {
		return notOffered
	}
	wrapped := unwrapped(err)
	if wrapped != nil && of(wrapped.StatusCode) == 501 && of(wrapped.TypeKey) == "NotImplementedException" &&
		strings.HasSuffix(of(wrapped.Message), "is not modelled by Poolproof.") {
		return notModeled
	}
	return ""
}

func unwrapped(err error) *azuredevops.WrappedError {
	var value azuredevops.WrappedError
	if errors.As(err, &value) {
		return &value
	}
	var pointer *azuredevops.WrappedError
	errors.As(err, &pointer)
	return pointer
}

// deepest is how far structures inside of arguments are filled: what they need is at their top.
const deepest = 2

// something makes arguments for any method: every member is there, and as small as can be.
func something(kind reflect.Type, depth int) reflect.Value {
	switch kind {
	case reflect.TypeFor[uuid.UUID]():
		return reflect.ValueOf(uuid.New())
	case reflect.TypeFor[io.Reader]():
		return reflect.ValueOf(strings.NewReader("x"))
	}
	value := reflect.New(kind).Elem()
	switch kind.Kind() {
	case reflect.Pointer:
		if depth < deepest {
			value.Set(reflect.New(kind.Elem()))
			value.Elem().Set(something(kind.Elem(), depth+1))
		}
	case reflect.Struct:
		for index := range kind.NumField() {
			switch field := kind.Field(index); {
			case field.Name == "Project" && field.Type == reflect.TypeFor[*string]():
				value.Field(index).Set(reflect.ValueOf(new(project)))
			case field.IsExported() && depth < deepest:
				value.Field(index).Set(something(field.Type, depth))
			}
		}
	case reflect.Slice:
		value.Set(reflect.MakeSlice(kind, 1, 1))
		value.Index(0).Set(something(kind.Elem(), depth+1))
	case reflect.String:
		value.SetString("1")
	case reflect.Int, reflect.Int64:
		value.SetInt(1)
	case reflect.Uint64:
		value.SetUint(1)
	case reflect.Interface:
		if kind.NumMethod() == 0 {
			value.Set(reflect.ValueOf("1"))
		}
	}
	return value
}

// report writes one line a method, as scripts/clients reads them.
func report() {
	names := make([][2]string, 0, len(outcomes))
	for name := range outcomes {
		names = append(names, name)
	}
	sort.Slice(names, func(a, b int) bool { return fmt.Sprint(names[a]) < fmt.Sprint(names[b]) })
	apis := map[string]string{
		"taskagent": "TaskAgent", "build": "Build", "pipelines": "Pipelines", "core": "Core", "task": "Task",
	}
	for _, name := range names {
		fmt.Printf("call\t%s\t%s\t%s\n", apis[name[0]], name[1], outcomes[name])
	}
}

// check ends the program unless something holds.
func check(holds bool, format string, arguments ...any) {
	if !holds {
		panic(fmt.Sprintf(format, arguments...))
	}
}

// equal ends the program unless both are the same.
func equal(what string, found, expected any) {
	check(reflect.DeepEqual(found, expected), "%s: %#v, not %#v", what, found, expected)
}

// of is what a pointer leads to, or the type's zero.
func of[T any](pointer *T) T {
	if pointer == nil {
		var zero T
		return zero
	}
	return *pointer
}

// each makes a list of what a function says of each.
func each[T, U any](things []T, say func(T) U) []U {
	said := make([]U, 0, len(things))
	for _, thing := range things {
		said = append(said, say(thing))
	}
	return said
}

// inOrder is a sorted copy.
func inOrder(names []string) []string {
	sorted := append([]string{}, names...)
	sort.Strings(sorted)
	return sorted
}
