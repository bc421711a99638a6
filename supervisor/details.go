package supervisor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Details are what `status` shows below the servers of a run: what only the program that they make up knows.
type Details struct {
	// Name is that of Value in the JSON that `status -o json` prints.
	Name  string
	Value any
	// Heads and Rows are a table, of which an empty cell is shown as a dash.
	Heads []string
	Rows  [][]string
	// Notes are sentences below it.
	Notes []string
}

// write prints them as a table.
func (d *Details) write(w io.Writer) error {
	if len(d.Rows) > 0 {
		fmt.Fprintln(w)
		table := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
		fmt.Fprintln(table, strings.Join(d.Heads, "\t"))
		for _, row := range d.Rows {
			cells := make([]string, len(row))
			for i, cell := range row {
				cells[i] = text.Dash(text.VisibleWord(cell))
			}
			fmt.Fprintln(table, strings.Join(cells, "\t"))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	for _, note := range d.Notes {
		if _, err := fmt.Fprintf(w, "\n%s\n", text.Visible(note)); err != nil {
			return err
		}
	}
	return nil
}

// withDetails is a Status with Details in it.
type withDetails struct {
	*Status
	details *Details
}

// MarshalJSON is that of a Status, with one more field.
func (s withDetails) MarshalJSON() ([]byte, error) {
	all, err := json.Marshal(s.Status)
	if err != nil {
		return nil, err
	}
	name, err := json.Marshal(s.details.Name)
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(s.details.Value)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s,%s:%s}", all[:len(all)-1], name, value), nil
}
