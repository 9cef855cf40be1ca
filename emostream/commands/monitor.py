"""`emostream monitor`: the watch over the mood."""

from cyclopts import App

app = App(name="monitor", help="Watch the affect events: windows, alerts, backtests.")
app.command("emostream.commands.backtest:backtest", name="backtest")
