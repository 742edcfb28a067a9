package engine

import "context"

// String implements line.Holder.
func (e *Engine) String() string { return e.Name }

// Wanted implements line.Holder: without connections the engine stops now, else when the last has ended. It is never killed for it.
func (e *Engine) Wanted() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.armIdle()
}

// claim takes the engine's state line, after waiting for it, or tells that the start is to have a temporary state.
func (e *Engine) claim(ctx context.Context) (temporary bool, err error) {
	if e.Line == nil {
		return false, nil
	}
	if !e.Line.TryAcquire(e) {
		holder, _ := e.Line.Status()
		if e.Ephemeral {
			e.Log.Info("engine gets a temporary state", "holder", holder)
			return true, nil
		}
		e.Log.Info("engine waits for its state line", "holder", holder)
		if err := e.Line.Acquire(ctx, e, e.LineWait); err != nil {
			return false, err
		}
	}
	e.mu.Lock()
	e.holds = true
	e.mu.Unlock()
	return false, nil
}

// giveBack releases the line if the engine holds it.
func (e *Engine) giveBack() {
	e.mu.Lock()
	held := e.holds
	e.holds = false
	e.mu.Unlock()
	if held {
		e.Line.Release()
	}
}
