// It requires nothing: each suite is built in a copy of its module, with that module's own versions.
module github.com/seed-200a7251/km/test/suites

go 1.26.0
