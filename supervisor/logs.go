package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// noLogFile is the value of --NAME.log-file for no file.
const noLogFile = "none"

// makeLogs makes the loggers of the plan's servers, even if something is wrong with their flags. Nothing is opened yet:
// what is logged until then is kept for the files.
func (r *run) makeLogs(flags *runFlags) (wrong problems) {
	hk := r.hk
	level, err := logging.ParseLevel(hk.settings.logLevel)
	if err != nil {
		wrong.add(fmt.Errorf("--log-level: %w", err))
	}
	format, err := logging.ParseFormat(hk.settings.logFormat)
	if err != nil {
		wrong.add(fmt.Errorf("--log-format: %w", err))
	}
	if hk.settings.logMaxSize < 1 || hk.settings.logMaxBackups < 1 {
		wrong.add(fmt.Errorf("--log-max-size=%d, --log-max-backups=%d: use numbers above 0", hk.settings.logMaxSize, hk.settings.logMaxBackups))
	}
	r.logFiles, err = r.placeLogs(flags)
	wrong.add(err)
	r.logs = logging.New(logging.Config{
		Out:     hk.screen(),
		Level:   level,
		Format:  format,
		Color:   system.Colored(hk.errOut()),
		Files:   !hk.settings.bare,
		Program: hk.Name,
		// Whoever asks for a level wants to see everything of it.
		Brief: !flags.Changed("log-level") && !hk.settings.verbose,
		Quiet: hk.settings.quiet,
	})
	for _, s := range r.plan.Servers {
		log := r.logs.Server(s.Name())
		log.Claim(s.Packages...)
		s.at().log = log
		wrong.add(flags.setLevels(s), s)
	}
	return wrong
}

// setLevels sets the levels that the user gave for a server.
func (rf *runFlags) setLevels(s *Server) error {
	text, flag := rf.servers[s].level, "log-level"
	if text == "" && s.VerbosityFlag != "" && s.Given(s.VerbosityFlag) {
		text, flag = "v="+s.Value(s.VerbosityFlag), s.VerbosityFlag
	}
	if text != "" {
		level, err := logging.ParseLevel(text)
		if err != nil {
			return fmt.Errorf("--%s.%s: %w", s.Name(), flag, err)
		}
		s.Log().SetLevel(level)
		s.Log().ShowAll()
	}
	if s.VModuleFlag != "" && s.Given(s.VModuleFlag) {
		if err := s.Log().SetVModule(s.Value(s.VModuleFlag)); err != nil {
			return fmt.Errorf("--%s.%s: %w", s.Name(), s.VModuleFlag, err)
		}
		s.Log().ShowAll()
	}
	return nil
}

// warning is what people are to know about a level; s may be nil.
func (s *Server) warning(level zapcore.Level) string {
	if s == nil || s.LevelWarning == nil {
		return ""
	}
	return s.LevelWarning(level)
}

// warnOfLevels tells what people are to know about the levels at which servers log from the beginning.
func (r *run) warnOfLevels() {
	for _, s := range r.plan.Servers {
		if text := s.warning(s.Log().Level()); text != "" {
			s.Logger().WithOptions(zap.WithCaller(false)).Warn(text)
		}
	}
}

// newLogs is for a binary that is one server: lines go to standard error.
func newLogs(hk *HyperKube) *logging.Logs {
	return logging.New(logging.Config{Out: hk.errOut(), Color: system.Colored(hk.errOut()), Program: hk.Name})
}

// logFile is where a Log's lines go.
type logFile struct {
	log  string // name of the server, or of the program
	path string // "" for none
	flag string // that says so
}

// placeLogs says where the lines of the program and of the plan's servers go.
func (r *run) placeLogs(flags *runFlags) ([]logFile, error) {
	hk, p := r.hk, r.plan
	dir, flag := logDir(p), "--data-dir"
	if hk.settings.logDir != "" {
		var err error
		if dir, err = filepath.Abs(hk.settings.logDir); err != nil {
			return nil, fmt.Errorf("--log-dir %s: %w", hk.settings.logDir, err)
		}
		flag = "--log-dir"
	}
	files := []logFile{{hk.Name, logPath(dir, hk.Name), flag}}
	for _, s := range p.Servers {
		f := logFile{s.Name(), logPath(dir, s.Name()), flag}
		switch given := flags.servers[s].file; given {
		case "":
		case noLogFile:
			f.path = ""
		default:
			path, err := filepath.Abs(given)
			if err != nil {
				return nil, fmt.Errorf("--%s.log-file %s: %w", s.Name(), given, err)
			}
			f.path, f.flag = path, "--"+s.Name()+".log-file"
		}
		files = append(files, f)
	}
	return files, nil
}

// logDir is where the log files are, unless flags say otherwise.
func logDir(p *Plan) string { return p.Path("logs") }

func logPath(dir, log string) string { return filepath.Join(dir, log+".log") }

// openLogs opens the log files.
func (r *run) openLogs() error {
	hk := r.hk
	for _, f := range r.logFiles {
		log := r.logs.Server(f.log)
		if f.path == "" {
			log.Discard()
			continue
		}
		err := log.Open(logging.File{Path: f.path, MaxSize: hk.settings.logMaxSize, MaxBackups: hk.settings.logMaxBackups,
			// A folder in the place of the lost data folder is another run's.
			Renew: func() bool { return r.folder.Lost() == nil }})
		if err != nil {
			err = fmt.Errorf("the log file of %s cannot be used: %w; %s names another place", f.log, err, f.flag)
			if f.log != hk.Name { // the program has a file in any case
				err = fmt.Errorf("%w, and --%s.log-file=%s is for none", err, f.log, noLogFile)
			}
			return err
		}
	}
	return r.noteLogFiles()
}

// logPlaces is a file in the data folder with the places of log files that lie elsewhere: name of the server, or
// program, to path.
const logPlaces = "log-files.json"

// noteLogFiles notes where the log files are, for `logs`. Notes about servers that are not run now stay.
func (r *run) noteLogFiles() error {
	p := r.plan
	places, err := notedLogFiles(p)
	if err != nil {
		places = map[string]text.RawString{} // it is about to be written anew
	}
	for _, f := range r.logFiles {
		if delete(places, f.log); f.path != "" && f.path != logPath(logDir(p), f.log) {
			places[f.log] = text.RawString(f.path)
		}
	}
	if len(places) == 0 {
		if err := os.Remove(p.Path(logPlaces)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.MarshalIndent(places, "", "  ")
	if err != nil {
		return err
	}
	// At once, since `logs` may read it at any time. Package renameio does this, but not on Windows.
	temporary := p.Path(logPlaces + ".new")
	if err := os.WriteFile(temporary, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, p.Path(logPlaces))
}

func notedLogFiles(p *Plan) (map[string]text.RawString, error) {
	places := map[string]text.RawString{}
	text, err := os.ReadFile(p.Path(logPlaces))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return places, nil
	case err != nil:
		return nil, err
	}
	err = json.Unmarshal(text, &places)
	if err == nil && places == nil {
		err = errors.New("it is null")
	}
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; remove it, and the next run makes it anew", p.Path(logPlaces), err)
	}
	return places, nil
}

// recordEvent writes a change of a server's state to its log file. People are shown it by the console.
func (r *run) recordEvent(e Event) {
	entry := zapcore.Entry{Level: zapcore.InfoLevel, Time: e.Time, LoggerName: r.hk.Name, Message: e.To.String()}
	var fields []zap.Field
	if e.Address != "" {
		fields = append(fields, zap.String("address", e.Address))
	}
	switch {
	case e.IsHindrance() && e.Err == nil:
		entry.Message = "nothing hinders the start any more"
	case e.IsHindrance():
		entry.Level, entry.Message = zapcore.WarnLevel, "something hinders the start"
	case e.IsDegradation() && e.Err == nil:
		entry.Message = "nothing is lacking any more"
	case e.IsDegradation():
		entry.Level, entry.Message = zapcore.WarnLevel, "something is lacking"
	case e.Err != nil:
		entry.Level = zapcore.ErrorLevel
	}
	if e.Err != nil {
		fields = append(fields, zap.Error(e.Err))
	}
	record(r.logs.Server(e.Server), entry, fields...)
}

// tellHindrance shows what hinders a start, or what a ready server lacks, whatever else is shown: people are to remove
// it. The table has no room for all of it.
func (r *run) tellHindrance(e Event) {
	if (e.IsHindrance() || e.IsDegradation()) && e.Err != nil {
		r.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Warn(e.Server + " " + toldAs[e.To] + ": " + e.Err.Error())
	}
}

// recordEnd writes to the program's log file how the logs have done.
func (r *run) recordEnd() {
	record(r.logs.Program(), zapcore.Entry{Level: zapcore.InfoLevel, Time: time.Now(), Message: "the servers have ended"},
		zap.Int64("lines of no server", r.logs.Unplaced()))
}

// record writes to a log file. An error of encoding, which nothing written here can cause, is told like any line.
func record(log *logging.Log, e zapcore.Entry, fields ...zap.Field) {
	if err := log.Record(e, fields...); err != nil {
		log.Zap().Error(e.Message, zap.NamedError("not recorded", err))
	}
}

// toldAs is what stands behind a server's name where people are told in full what hinders its start, or what it lacks.
var toldAs = map[State]string{Starting: "cannot start yet", Ready: "is ready, but"}

// baseName is the name of the server, or program, that a log file of the usual name belongs to.
func baseName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".log") }
