//go:build unix

package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is kept with the sources is one whole run: each row has a number on each side.
func TestKeptResults(t *testing.T) {
	text, err := os.ReadFile("results.json")
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Rows []struct {
			Name  string
			Sides []struct {
				Side    string
				Samples []float64
			}
		}
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, r := range rows {
		for _, side := range r.sides {
			want = append(want, r.name+", "+side)
		}
	}
	for _, r := range kept.Rows {
		for _, f := range r.Sides {
			if len(f.Samples) > 0 {
				got = append(got, r.Name+", "+f.Side)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("`make bench` keeps (-want +got):\n%s", diff)
	}
}
