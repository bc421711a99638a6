package translations

var Called = called

func Skipped() bool { return skipped }
