// Package text has what is about text alone: how it is laid out for people (Wrap, Table, Cells), how what others say is
// shown without harm (Visible, OneLine), which word was meant (Nearest), and how a shell and JSON take what need not be
// text (ShellQuote, RawString).
package text
